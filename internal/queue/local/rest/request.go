package rest

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/taskcluster/generic-worker/internal/queue/local/disk"
)

// MaxPage is the largest page of a list.
const MaxPage = 1000

// paramForms are the forms that parts of paths must have.
var paramForms = map[string]func() *regexp.Regexp{
	"taskId":       SlugForm,
	"taskGroupId":  SlugForm,
	"runId":        runForm,
	"taskQueueId":  QueueForm,
	"workerPoolId": QueueForm,
	"name":         NameForm,
	"indexPath":    namespaceForm,
	"namespace":    namespaceForm,
}

// Forms are compiled when they are first used, because that takes long.
var (
	// NameForm is the form of artifacts' and other names.
	NameForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\x20-\x7e]+$`) })
	// SlugForm is the form of task ids and upload ids.
	SlugForm = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]$`)
	})
	// QueueForm is the form of task queue ids.
	QueueForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,38}/[A-Za-z0-9_-]{1,38}$`) })
	// IdentifierForm is the form of worker ids and worker groups.
	IdentifierForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9_-]{1,38}$`) })
	// ProjectForm is the form of project ids.
	ProjectForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9._/-]{1,500}$`) })

	runForm       = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(0|[1-9][0-9]{0,3})$`) })
	namespaceForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([a-zA-Z0-9_!~*'()%-]+\.)*[a-zA-Z0-9_!~*'()%-]+$`) })
)

// Problems collects what is wrong with a document, by JSON pointer.
type Problems []string

// Check notes the text about what the pointer points to unless ok.
func (p *Problems) Check(ok bool, pointer, text string) {
	if !ok {
		*p = append(*p, pointer+" "+text)
	}
}

// Document is the body of a request.
type Document interface {
	// Problems says what is wrong with its values.
	Problems() Problems
}

// Decode reads the request's body, which must have exactly the properties of
// the document.
func (c *Call) Decode(into Document) error {
	mediaType, _, err := mime.ParseMediaType(c.Request.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return Refuse(http.StatusBadRequest, MalformedPayload, "send the document as JSON, with the header Content-Type: application/json")
	}
	return ParseDocument(c.Body, into)
}

// ParseDocument reads a document that did not come by HTTP.
func ParseDocument(body []byte, into Document) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return Refuse(http.StatusBadRequest, MalformedPayload, "the document must be a JSON object: %v", err)
	}
	found := Problems{}
	known := propertyNames(reflect.TypeOf(into).Elem())
	for name := range members {
		found.Check(known[name], "/"+name, "is not a known property")
	}
	if err := json.Unmarshal(body, into); err != nil {
		if wrong, isType := errors.AsType[*json.UnmarshalTypeError](err); isType {
			found.Check(false, "/"+strings.ReplaceAll(wrong.Field, ".", "/"), "must not be a "+wrong.Value)
		} else {
			found.Check(false, "", err.Error())
		}
	} else {
		found = append(found, into.Problems()...)
	}
	if len(found) > 0 {
		return Refuse(http.StatusBadRequest, InvalidDocument, "the document is not valid:\n  * %s", strings.Join(found, "\n  * "))
	}
	return nil
}

// propertyNames lists the JSON names of a struct. They are compared exactly,
// which encoding/json does not.
func propertyNames(t reflect.Type) map[string]bool {
	names := map[string]bool{}
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names[name] = true
	}
	return names
}

// Query refuses query parameters other than those given and a bewit.
func (c *Call) Query(allowed ...string) error {
	for name := range c.Request.URL.Query() {
		known := name == "bewit"
		for _, a := range allowed {
			known = known || name == a
		}
		if !known {
			return Refuse(http.StatusBadRequest, InvalidArguments, "the query parameter %q is not supported", name)
		}
	}
	return nil
}

// Page reads which page of a list is wanted.
func (c *Call) Page() (disk.Page, error) {
	if err := c.Query("continuationToken", "limit"); err != nil {
		return disk.Page{}, err
	}
	p := disk.Page{Token: c.Request.URL.Query().Get("continuationToken"), Limit: MaxPage}
	if limit := c.Request.URL.Query().Get("limit"); limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 {
			return p, Refuse(http.StatusBadRequest, InvalidArguments, "limit=%q must be a positive number", limit)
		}
		p.Limit = min(n, MaxPage)
	}
	return p, nil
}
