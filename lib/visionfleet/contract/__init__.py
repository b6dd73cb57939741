"""What travels: messages, names of queues and objects, job ids."""
