"""`larder branch import` and `imports`."""
