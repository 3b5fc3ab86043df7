// Package render renders JSON-e templates from anybody within bounds.
//
// JSON-e has loops, so a short template can ask for any amount of time and
// memory. Nothing in a template's text tells how much: a chain of $let that
// doubles a string fifty times is no longer than a harmless one, and the library
// cannot be interrupted. Rendering therefore happens in a child process, the
// program itself started again, which is ended whatever it is doing: Child is the
// parent's side, Serve the other. What bounds a rendering:
//
//   - before it, the length of its texts, and how many values they have and how
//     deep once YAML's aliases are followed;
//   - during it, time and memory, by a watch in the child, by the deadline of the
//     parent, and on Linux by the kernel; and the stack;
//   - after it, the same measures for the result, which can be larger in text than it
//     was in memory.
package render
