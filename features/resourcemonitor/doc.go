// Package resourcemonitor measures what the commands of a task use, and ends a
// task that leaves the machine short of memory.
//
// A command is looked at after 10 ms, then every half second, and when it has
// ended: the last look is at what the system counted all along, so that also the
// briefest command has figures. If a look takes long, because there are very
// many processes, the next is later, so that looking never takes more than half a
// percent of a processor. The task's directory is measured when a command ends, and
// every half minute while it runs, unless that was done so recently that it would
// take more than a twentieth of the time; it is given up after a second, and after
// a tenth of one at the end, in which case the figure says that it is the least.
package resourcemonitor
