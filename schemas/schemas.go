package schemas

import _ "embed"

// Config is the schema of the configuration file of the worker.
//
//go:embed config.json
var Config []byte

// Task is the schema of a task file: the queue's createTask request, in which
// everything that the command line can fill in may be left out.
//
//go:embed task.json
var Task []byte
