"""Services and tasks of a Docker Swarm -> the servers of each service and colour (rules 66 to 68).

`discovery` follows a manager; `listing` has the requests. `tasks` reads services, tasks and nodes of the answers,
`servers` turns a task into a server by the labels of its Swarm service, and `spec` says what its release covers.

Managers send no event of a task, so tasks are listed each second, and at once on an event of a service or node. A list
is the whole truth: what was running and is listed no more was stopped or has failed, and is asked for once more to
tell which.
"""
