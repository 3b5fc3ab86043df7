// Package tree moves, copies, lists and compares trees of files, whoever made
// them and whatever is in them.
//
// All of it goes through handles of directories: a symbolic link that somebody
// planted is moved and copied as a link, and never followed. Devices, sockets
// and named pipes are not copied, and neither are the bits that let a program run
// as another user. What is kept, and why, is for others to say.
package tree
