// Package device lends the devices of a kernel module to one task at a time:
// it has the module loaded, sees to it that the devices are the module's, and
// gives them to a group.
package device
