"""What workers share through Redis: the rate limiter, the lock and the circuit breaker, each usable by itself."""
