"""`larder demo`: the whole of Larder on one machine, to try, or playing one day and checking itself."""
