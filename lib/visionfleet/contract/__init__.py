"""The wire contract: messages, names of queues and objects, job ids."""
