"""Head office: keeps every location's log and shows the stock of the group."""
