package trust

import (
	"slices"

	"github.com/taskcluster/generic-worker/cot/chain/definition"
	"github.com/taskcluster/generic-worker/cot/chain/report"
)

// Image is where the image of a docker-worker task comes from.
type Image string

// The origins of images.
const (
	ImageByName    Image = "name"
	ImageFromTask  Image = "task-image"
	ImageFromIndex Image = "indexed-image"
	ImageOther     Image = "other"
)

// Image tells where the image of a task comes from.
func (p *Policy) Image(task definition.Object) Image {
	image, _ := task.Value("payload", "image")
	switch image := image.(type) {
	case string:
		return ImageByName
	case definition.Object:
		kind := Image(image.Text("type"))
		if p.Profile == GPG || kind == ImageFromTask {
			return ImageFromTask
		}
		if kind == ImageFromIndex {
			return ImageFromIndex
		}
	}
	return ImageOther
}

// ImageAllowed refuses an image, by its hash as in sha256:<hex>, that tasks of
// these types may not use by name.
func (p *Policy) ImageAllowed(types []string, hash string) error {
	for _, t := range types {
		allowed, listed := p.ImageAllowlist[t]
		if !listed {
			return report.Refuse("the policy allows no images by name for tasks of type %s; let the task use one that a docker-image task has built", t)
		}
		if !slices.Contains(allowed, hash) {
			return report.Refuse("image %s is not among those the policy allows for tasks of type %s", hash, t)
		}
	}
	return nil
}

// ImagePrebuilt refuses tasks of types that may not use an image which no task
// of the chain has built.
func (p *Policy) ImagePrebuilt(task definition.Object, types []string) error {
	if slices.Contains(p.PrebuiltTypes, "any") {
		return nil
	}
	for _, t := range types {
		if !slices.Contains(p.PrebuiltTypes, t) {
			image, _ := task.Value("payload", "image")
			return report.Refuse("image %s was built by no task of the chain, which the policy does not allow for tasks of type %s", definition.Brief(image), t)
		}
	}
	return nil
}

// ImageCommand refuses a docker-image task that runs something else than what
// builds images.
func (p *Policy) ImageCommand(task definition.Object) error {
	value, there := task.Value("payload", "command")
	if !there {
		return nil
	}
	command, ok := task.Texts("payload", "command")
	if ok && slices.ContainsFunc(p.ImageCommands, func(c []string) bool { return slices.Equal(c, command) }) {
		return nil
	}
	return report.Refuse("a docker-image task must not run %s, which is no command the policy allows for it", definition.Brief(value))
}
