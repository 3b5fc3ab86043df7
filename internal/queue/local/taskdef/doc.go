// Package taskdef turns the body of a createTask request into a complete task
// definition: every property checked, every default filled in. Which tasks,
// groups and scopes exist is for its user to know.
package taskdef
