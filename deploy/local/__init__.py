"""The whole stack on one machine: real servers, every process, one supervisor."""
