-- How the nodes are is in "node_stream" alone: on PostgreSQL the replicas write it for each other, on SQLite the one process
-- that serves writes it every few seconds, for the commands of operators.
DROP TABLE node_status;
