package payload

import (
	"strings"

	"github.com/taskcluster/generic-worker/internal/document"
)

// dockerWorker answers a payload that was written for another kind of worker.
func dockerWorker(doc *document.Document, image any) document.Problem {
	what := "makes this a payload for docker-worker, which runs commands in an image"
	if name, ok := image.(string); ok {
		what = "makes this a payload for docker-worker, which runs commands in the image " + document.Quote(name)
	}
	return doc.Problem("/image", what,
		"send it to a pool that has containers, or remove image and write command and artifacts as lists for generic-worker")
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
	only, names := "Windows", []string{"runAsAdministrator", "hideCmdWindow"}
	if lines {
		only, names = "Linux", []string{"loopbackVideo", "loopbackAudio"}
	}
	features, _ := root["features"].(map[string]any)
	for _, name := range names {
		if _, given := features[name]; given {
			problems = append(problems, doc.Problem("/features/"+name, "is a feature of workers on "+only, "remove it"))
		}
	}
	if _, given := root["rdpInfo"]; given && !lines {
		problems = append(problems, doc.Problem("/rdpInfo", "is a feature of workers on Windows", "remove it"))
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
