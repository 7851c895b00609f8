"""What every part of Altnet shares. See docs/architecture.md §2 for the floors."""
