"""What an administrator does to a control plane as a whole: set up, migrate, back up, restore, repair."""
