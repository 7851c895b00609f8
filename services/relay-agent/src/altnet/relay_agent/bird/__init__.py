"""BIRD (https://bird.network.cz): its configuration, its process, its state. The agent's routing engine."""
