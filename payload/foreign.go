package payload

import (
	"strings"

	"github.com/taskcluster/generic-worker/internal/document"
)

// dockerWorker answers a payload for docker-worker on a platform that takes none.
func dockerWorker(doc *document.Document, image any) document.Problem {
	what := "makes this a payload for docker-worker, which workers on Windows do not take"
	if name, ok := image.(string); ok {
		what = "names the image " + document.Quote(name) + " and so makes this a payload for docker-worker, which workers on Windows do not take"
	}
	return doc.Problem("/image", what,
		"send it to a pool on Linux, or remove image and write command and artifacts as lists for generic-worker")
}

// containersOnly answers what a payload for docker-worker can have only in a
// container. Its problems stand for those that the schema finds at the same places.
func containersOnly(doc *document.Document, root map[string]any) []document.Problem {
	const (
		elsewhere = "remove it, or send the task to a pool that has containers"
		ownProxy  = "remove it; taskclusterProxy signs requests to Taskcluster"
		device    = "remove it; a payload for generic-worker can ask for it in features"
	)
	var problems []document.Problem
	for _, r := range []struct{ pointer, what, remedy string }{
		{"/capabilities/privileged", "asks for a container with all rights on the machine", elsewhere},
		{"/capabilities/disableSeccomp", "asks for a container without a filter for system calls", elsewhere},
		{"/capabilities/devices/loopbackVideo", "asks for a container with a video device", device},
		{"/capabilities/devices/loopbackAudio", "asks for a container with an audio device", device},
		{"/capabilities/devices/hostSharedMemory", "asks for a container with the shared memory of the machine", elsewhere},
		{"/capabilities/devices/kvm", "asks for a container with /dev/kvm", "remove it; a payload for generic-worker can ask for the group kvm in osGroups"},
		{"/features/allowPtrace", "asks for a container in which processes can be traced", elsewhere},
		{"/features/dind", "asks for Docker in a container", elsewhere},
		{"/features/dockerSave", "asks for the container as an image", elsewhere},
		{"/features/balrogVPNProxy", "asks for a proxy that docker-worker had for one deployment", ownProxy},
		{"/features/balrogStageVPNProxy", "asks for a proxy that docker-worker had for one deployment", ownProxy},
		{"/features/relengAPIProxy", "asks for a proxy that docker-worker had for one deployment", ownProxy},
		{"/features/testdroidProxy", "asks for a proxy that docker-worker had for one deployment", ownProxy},
	} {
		if part, ok := doc.At(r.pointer); ok && part.Value() == true {
			what := r.what
			if !strings.HasSuffix(r.pointer, "Proxy") {
				what += ", and here the command runs without one"
			}
			problems = append(problems, doc.Problem(r.pointer, what, r.remedy))
		}
	}
	if graphs, _ := root["graphs"].([]any); len(graphs) > 0 {
		problems = append(problems, doc.Problem("/graphs", "extends a graph of tasks, which queues have no more", "remove it; let the command create tasks through taskclusterProxy"))
	}
	return append(problems, dockerCommand(doc, root)...)
}

// dockerCommand answers commands that a container would have run, or that are
// written as for generic-worker.
func dockerCommand(doc *document.Document, root map[string]any) []document.Problem {
	command, given := root["command"]
	list, isList := command.([]any)
	_, allLists := shape(command)
	switch {
	case !given || isList && len(list) == 0:
		return []document.Problem{doc.Problem("/command", "is missing, and the command of the image cannot be known without a container",
			`write it into the payload: "command": ["/bin/bash", "-c", "make test"]`)}
	case allLists:
		return []document.Problem{doc.Problem("/command", "must be one command, as the payload has an image and so is one for docker-worker, not a list of commands",
			`write ["/bin/bash", "-c", "make test"], or remove image`)}
	}
	return nil
}

// foreign answers what other platforms take. Its problems stand for those that
// the schema finds at the same places. lines tells that this platform is Windows.
func foreign(doc *document.Document, root map[string]any, lines bool) []document.Problem {
	var problems []document.Problem
	allText, allLists := shape(root["command"])
	switch {
	case allText && !lines:
		problems = append(problems, doc.Problem("/command",
			"must be a list of commands, each a list of the program and its arguments, not a list of strings", nested(root["command"])))
	case allLists && lines:
		problems = append(problems, doc.Problem("/command",
			"must be a list of lines for cmd.exe on Windows, not a list of argument lists", `write each command as one string: ["echo hello"]`))
	}
	asked, _ := root["features"].(map[string]any)
	if lines {
		problems = append(problems, elsewhere(doc, asked, "Linux", "loopbackVideo", "loopbackAudio")...)
	} else {
		problems = append(problems, elsewhere(doc, asked, "Windows", "runAsAdministrator", "hideCmdWindow")...)
		problems = append(problems, loopback(doc, asked, loopbacks)...)
	}
	if _, given := root["rdpInfo"]; given && !lines {
		problems = append(problems, doc.Problem("/rdpInfo", "is a feature of workers on Windows", "remove it"))
	}
	return problems
}

// elsewhere answers features that the schema of this platform does not have.
func elsewhere(doc *document.Document, asked map[string]any, system string, names ...string) (problems []document.Problem) {
	for _, name := range names {
		if _, given := asked[name]; given {
			problems = append(problems, doc.Problem("/features/"+name, "is a feature of workers on "+system, "remove it"))
		}
	}
	return problems
}

// loopback answers who asks for devices that of all systems with the same
// schema only Linux has. To say false is to ask for nothing.
func loopback(doc *document.Document, asked map[string]any, here bool) (problems []document.Problem) {
	for _, name := range []string{"loopbackVideo", "loopbackAudio"} {
		if asked[name] == true && !here {
			problems = append(problems, doc.Problem("/features/"+name, "is a feature of workers on Linux", "remove it"))
		}
	}
	return problems
}

// shape tells whether a list has only strings or only lists in it.
func shape(command any) (allText, allLists bool) {
	list, _ := command.([]any)
	allText, allLists = len(list) > 0, len(list) > 0
	for _, item := range list {
		_, text := item.(string)
		_, nested := item.([]any)
		allText, allLists = allText && text, allLists && nested
	}
	return allText, allLists
}

// nested tells how to write a list of strings as a list of commands.
func nested(command any) string {
	list, _ := command.([]any)
	first, _ := list[0].(string)
	if len(list) > 1 && !strings.ContainsAny(first, " \t\n") {
		return "put the command into a list of its own: [[" + document.Quote(first) + ", ...]]"
	}
	return `put each command into a list of its own: [["/bin/sh", "-c", "make test"]]`
}
