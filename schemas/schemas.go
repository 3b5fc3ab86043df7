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

// ChainPolicy is the schema of the file that says what a deployment's chain of
// trust is verified with.
//
//go:embed chain-policy.json
var ChainPolicy []byte

// PayloadDocker is the schema of the payload of a task that was written for
// docker-worker.
//
//go:embed payload-docker.json
var PayloadDocker []byte
