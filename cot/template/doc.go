// Package template rebuilds the definitions of decision, cron and action tasks
// from the template in their repository, and compares them with what ran.
//
// Whoever may create a task in a decision pool could give it any command. What
// makes a decision task trustworthy is that its definition follows from the
// repository: its .taskcluster.yml, rendered with JSON-e and with what the
// server of the repository says about the push, must be the task that ran.
//
// Templates come from anybody who can push somewhere; package render bounds what
// they can ask for. Documents in YAML, which has its own ways to be larger than it
// looks, are read only there.
//
// Repositories are reached through a Forge. This package never speaks HTTP.
//
// For tasks of 2017 there is CheckCommand instead, which does not know the
// repository and looks only at the command of a decision task.
package template
