"""The queue of many machines, in Redis. Needs the package redis; nothing imports it unasked."""

from actors.queues.redis.queue import RedisQueue

__all__ = ["RedisQueue"]
