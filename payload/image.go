package payload

import (
	"encoding/json"
	"fmt"
)

// Image is what a payload for docker-worker wants to run its command in: the
// name of an image in a registry, or an artifact that has one in it.
type Image struct {
	Name      string // as for docker pull, of "docker-image" or a plain string; else empty
	TaskID    string // of "task-image"
	Namespace string // of "indexed-image"
	Path      string // name of the artifact of a task or an indexed one
}

// String names the image for people.
func (i Image) String() string {
	switch {
	case i.TaskID != "":
		return fmt.Sprintf("%s of task %s", i.Path, i.TaskID)
	case i.Namespace != "":
		return fmt.Sprintf("%s of the index's %s", i.Path, i.Namespace)
	}
	return i.Name
}

// UnmarshalJSON takes a string as Name, and an object as one of the other forms.
func (i *Image) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, &i.Name)
	}
	var form struct {
		Name      string `json:"name"`
		TaskID    string `json:"taskId"`
		Namespace string `json:"namespace"`
		Path      string `json:"path"`
	}
	err := json.Unmarshal(text, &form)
	*i = Image(form)
	return err
}

// ScopePrefix is what the scopes begin with that features ask of this task, before a
// colon: "generic-worker", or "docker-worker" if it was written for that.
func (p Payload) ScopePrefix() string {
	if p.Image != nil {
		return "docker-worker"
	}
	return "generic-worker"
}
