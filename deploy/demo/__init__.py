"""`larder demo`: all services on one machine, to try, or for one day that is played and checked."""
