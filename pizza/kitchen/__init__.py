"""The kitchen: workers, the tasks of cooks and stations, estimates."""
