package taskdef

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/taskcluster/generic-worker/internal/queue/local/hawk"
)

// Limits of Taskcluster's own schema.
const (
	maxDependencies = 10_000
	maxRoutes       = 64
	maxRoute        = 249
	maxRetries      = 49
	maxTag          = 4096
	drift           = 15 * time.Minute
	longestDeadline = 5 * 24 * time.Hour
)

// The patterns are compiled when a task is created: that takes more than a
// millisecond, by which the start of a worker need not be longer.
var (
	slugPattern = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]$`)
	})
	identifierPattern  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9_-]{1,38}$`) })
	workerTypePattern  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z]([-a-z0-9]{0,36}[a-z0-9])?$`) })
	taskQueueIDPattern = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[a-zA-Z0-9_-]{1,38}/[a-z]([-a-z0-9]{0,36}[a-z0-9])?$`)
	})
	sourcePattern   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(https?|ssh)://`) })
	requiresPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^all-(completed|resolved)$`) })
	projectPattern  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9._/-]{1,500}$`) })
)

// IsSlug tells whether s is a slug id, the form of task ids.
func IsSlug(s string) bool { return slugPattern().MatchString(s) }

// Problem is one thing that is wrong with a request.
type Problem struct {
	Pointer string // JSON pointer; empty for the document itself
	Text    string
}

// Invalid lists everything that is wrong with a request.
type Invalid struct {
	Problems []Problem
	// Schema tells that some value has not even the right form.
	Schema bool
}

func (e *Invalid) Error() string {
	var b strings.Builder
	b.WriteString("the task definition is not valid:")
	for _, p := range e.Problems {
		fmt.Fprintf(&b, "\n  * %s: %s", p.Pointer, p.Text)
	}
	return b.String()
}

// Parse reads the body of a createTask request that arrived at the given
// moment. Its error is an *Invalid.
func Parse(taskID string, body []byte, now time.Time) (*Definition, error) {
	r := &reader{}
	d := r.definition(body)
	if len(r.problems) > 0 {
		return nil, &Invalid{Problems: r.problems, Schema: true}
	}
	if d.TaskGroupID == "" {
		d.TaskGroupID = taskID
	}
	r.queueID(d)
	r.times(d, now)
	if len(r.problems) > 0 {
		return nil, &Invalid{Problems: r.problems}
	}
	return d, nil
}

func (r *reader) definition(body []byte) *Definition {
	d := &Definition{
		SchedulerID: "-", ProjectID: "none", Dependencies: []string{}, Requires: "all-completed", Routes: []string{},
		Priority: "lowest", Retries: 5, Scopes: []string{}, Payload: json.RawMessage(`{}`),
		Tags: map[string]string{}, Extra: json.RawMessage(`{}`),
	}
	r.object("", body, []property{
		{name: "provisionerId", read: r.pattern(&d.ProvisionerID, identifierPattern)},
		{name: "workerType", read: r.pattern(&d.WorkerType, workerTypePattern)},
		{name: "taskQueueId", read: r.pattern(&d.TaskQueueID, taskQueueIDPattern)},
		{name: "schedulerId", read: r.pattern(&d.SchedulerID, identifierPattern)},
		{name: "projectId", read: r.pattern(&d.ProjectID, projectPattern)},
		{name: "taskGroupId", read: r.pattern(&d.TaskGroupID, slugPattern)},
		{name: "dependencies", read: r.list(&d.Dependencies, list{max: maxDependencies, unique: true, item: mustBeSlug})},
		{name: "requires", read: r.pattern(&d.Requires, requiresPattern)},
		{name: "routes", read: r.list(&d.Routes, list{max: maxRoutes, unique: true, item: mustBeRoute})},
		{name: "priority", read: r.oneOf(&d.Priority, priorities[:])},
		{name: "retries", read: r.integer(&d.Retries, 0, maxRetries)},
		{name: "created", required: true, read: r.time(&d.Created)},
		{name: "deadline", required: true, read: r.time(&d.Deadline)},
		{name: "expires", read: r.time(&d.Expires)},
		{name: "scopes", read: r.list(&d.Scopes, list{item: mustBeScope})},
		{name: "payload", required: true, read: r.anyObject(&d.Payload)},
		{name: "metadata", required: true, read: r.metadata(&d.Metadata)},
		{name: "tags", read: r.tags(&d.Tags)},
		{name: "extra", read: r.anyObject(&d.Extra)},
	})
	return d
}

func (r *reader) metadata(m *Metadata) func(string, json.RawMessage) {
	return func(at string, value json.RawMessage) {
		r.object(at, value, []property{
			{name: "name", required: true, read: r.text(&m.Name, 255)},
			{name: "description", required: true, read: r.text(&m.Description, 32768)},
			{name: "owner", required: true, read: r.text(&m.Owner, 255)},
			{name: "source", required: true, read: r.source(&m.Source)},
		})
	}
}

func (r *reader) source(s *string) func(string, json.RawMessage) {
	return func(at string, value json.RawMessage) {
		r.text(s, 4096)(at, value)
		if _, err := url.Parse(*s); err != nil || !sourcePattern().MatchString(*s) {
			r.report(at, "must be a link that begins with https://, http:// or ssh://")
		}
	}
}

func (r *reader) tags(tags *map[string]string) func(string, json.RawMessage) {
	return func(at string, value json.RawMessage) {
		if !r.decode(at, value, tags, "an object of strings") {
			return
		}
		for name, tag := range *tags {
			if utf8.RuneCountInString(tag) > maxTag {
				r.report(at+"/"+escape(name), fmt.Sprintf("must have at most %d characters", maxTag))
			}
		}
	}
}

func mustBeSlug(s string) string {
	if IsSlug(s) {
		return ""
	}
	return "must be a task id: 22 characters, as slugid makes them"
}

func mustBeRoute(s string) string {
	if n := utf8.RuneCountInString(s); n >= 1 && n <= maxRoute {
		return ""
	}
	return fmt.Sprintf("must have 1 to %d characters", maxRoute)
}

func mustBeScope(s string) string {
	if hawk.ValidScope(s) {
		return ""
	}
	return "must be a scope: printable ASCII, not ending in **"
}

// queueID makes taskQueueId and its two halves agree.
func (r *reader) queueID(d *Definition) {
	both := d.ProvisionerID != "" && d.WorkerType != ""
	joined := d.ProvisionerID + "/" + d.WorkerType
	switch {
	case both && d.TaskQueueID != "" && d.TaskQueueID != joined:
		r.report("/taskQueueId", "must be provisionerId/workerType, that is "+joined)
	case both:
		d.TaskQueueID = joined
	case d.TaskQueueID != "":
		d.ProvisionerID, d.WorkerType, _ = strings.Cut(d.TaskQueueID, "/")
	default:
		r.report("/taskQueueId", "is missing: say which queue the task goes to, as taskQueueId or as provisionerId and workerType")
	}
}

func (r *reader) times(d *Definition, now time.Time) {
	created, deadline, expires := time.Time(d.Created), time.Time(d.Deadline), time.Time(d.Expires)
	if created.Before(now.Add(-drift)) {
		r.report("/created", "must not be more than 15 minutes in the past")
	}
	if created.After(now.Add(drift)) {
		r.report("/created", "must not be more than 15 minutes in the future")
	}
	switch {
	case created.After(deadline):
		r.report("/deadline", "must not be before created")
	case deadline.Before(now):
		r.report("/deadline", "must not be in the past")
	case deadline.After(now.Add(longestDeadline + drift)):
		r.report("/deadline", "must not be more than 5 days in the future")
	}
	if expires.IsZero() {
		d.Expires = millis(deadline.AddDate(1, 0, 0))
	} else if expires.Before(deadline) {
		r.report("/expires", "must not be before the deadline")
	}
}
