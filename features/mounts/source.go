package mounts

import (
	"context"
	"strings"

	"github.com/taskcluster/generic-worker/payload"
)

// source is where content comes from that is not in the payload.
type source struct {
	title  string // as log lines have it
	shown  string // the key as log lines have it
	key    string // of the store
	first  string // a URL that was asked for already, or empty
	locate func(context.Context) (string, error)
}

// source finds out where content comes from. An artifact that is not public is
// looked for even if the store has its content, because what counts is whether
// this task may read it.
func (v *visit) source(ctx context.Context, c *payload.Content) (*source, error) {
	if c.URL != "" {
		return urlSource(c.URL), nil
	}
	taskID := c.TaskID
	if c.Namespace != "" {
		var err error
		if taskID, err = v.config.Inputs.Indexed(ctx, v.run, c.Namespace); err != nil {
			return nil, err
		}
	}
	s := &source{title: "task " + taskID + " artifact " + c.Artifact, key: "artifact:" + taskID + ":" + c.Artifact}
	s.shown = s.key
	s.locate = func(ctx context.Context) (string, error) {
		if known := s.first; known != "" {
			s.first = ""
			return known, nil
		}
		return v.config.Inputs.Artifact(ctx, v.run, taskID, c.Artifact)
	}
	if public(c.Artifact) {
		return s, nil
	}
	var err error
	s.first, err = v.config.Inputs.Artifact(ctx, v.run, taskID, c.Artifact)
	return s, err
}

func urlSource(address string) *source {
	shown := redacted(address)
	return &source{
		title: "url " + shown, shown: "urlcontent:" + shown, key: "urlcontent:" + address,
		locate: func(context.Context) (string, error) { return address, nil },
	}
}

// redacted is a URL without its query and fragment, which may let people in who
// know nothing else. Payloads have no users and passwords in URLs.
func redacted(address string) string {
	address, _, _ = strings.Cut(address, "#")
	address, _, _ = strings.Cut(address, "?")
	return address
}

// title is what content is called before it is known where it comes from.
func title(c *payload.Content) string {
	switch {
	case c == nil:
		return "empty cache"
	case c.URL != "":
		return "url " + redacted(c.URL)
	case c.Namespace != "":
		return "namespace " + c.Namespace + " artifact " + c.Artifact
	case c.Inline != nil:
		return "content of the payload"
	}
	return "task " + c.TaskID + " artifact " + c.Artifact
}

// public tells whether everybody may read an artifact of that name.
func public(artifact string) bool {
	const prefix = "public/"
	return len(artifact) > len(prefix) && artifact[:len(prefix)] == prefix
}
