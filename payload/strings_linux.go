package payload

// longestString is the length in bytes of the longest argument or NAME=value
// that the kernel passes to a program, without the NUL at its end.
// https://man7.org/linux/man-pages/man2/execve.2.html (MAX_ARG_STRLEN)
const longestString = 128<<10 - 1
