package chain

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/taskcluster/generic-worker/cot"
	"github.com/taskcluster/generic-worker/cot/chain/definition"
	"github.com/taskcluster/generic-worker/cot/chain/report"
)

// environment returns a text that the worker has sworn about itself.
func (v *verification) environment(l *link, name string) (string, error) {
	c, err := v.sworn(l)
	if err != nil {
		return "", err
	}
	var text string
	if err := json.Unmarshal(c.Environment[name], &text); err != nil || text == "" {
		return "", report.Refuse("the certificate's environment has no %s", name)
	}
	return text, nil
}

// imageAllowed checks an image that is given by name.
func imageAllowed(_ context.Context, v *verification, l *link) error {
	hash, err := v.environment(l, "imageHash")
	if err != nil {
		return err
	}
	return v.policy.ImageAllowed(v.typesOf(l), hash)
}

// imageIndexed refuses images of the index where restricted scopes are: which
// task they are from changes.
func imageIndexed(_ context.Context, v *verification, _ *link) error {
	restricted, err := v.restricted.Get()
	if err == nil && len(restricted) > 0 {
		return report.Refuse("its image comes from the index, and the task has the restricted scope %s", restricted[0].Scope)
	}
	return err
}

// imageTask checks that an image is from the docker-image task that is in the
// chain.
func imageTask(_ context.Context, v *verification, l *link) error {
	_, err := v.imageLink(l)
	return err
}

func (v *verification) imageLink(l *link) (*link, error) {
	id := l.defined().Text("payload", "image", "taskId")
	if named := l.defined().Text("extra", "chainOfTrust", "inputs", "docker-image"); id == "" || id != named {
		return nil, report.Refuse("its image is from task %q, and /extra/chainOfTrust/inputs/docker-image is %q", id, named)
	}
	image := v.links[id]
	if image == nil || !v.is(image, KindDockerImage) {
		return nil, report.Refuse("its image is from task %s, which is no docker-image task of the chain", id)
	}
	return image, nil
}

// imageHash checks that the worker has loaded what the docker-image task has
// published.
func imageHash(_ context.Context, v *verification, l *link) error {
	image, err := v.imageLink(l)
	if err != nil {
		return fmt.Errorf("it is not known which task the image is from")
	}
	loaded, err := v.environment(l, "imageArtifactHash")
	if err != nil {
		return err
	}
	c, err := v.sworn(image)
	if err != nil {
		return err
	}
	name := l.defined().Text("payload", "image", "path")
	algorithm, hash, _ := strings.Cut(loaded, ":")
	switch published, there := c.Artifacts[name][algorithm]; {
	case !slices.Contains(v.policy.Algorithms, algorithm) || !cot.Strong(algorithm):
		return report.Refuse("the worker has loaded the image %q, and only strong algorithms count that the policy allows, of %s", loaded, strings.Join(v.policy.Algorithms, ", "))
	case !there:
		return report.Refuse("the certificate of %s has no %s of artifact %s", image.id, algorithm, definition.Brief(name))
	case published != hash:
		return report.Refuse("the worker has loaded the image %s, and task %s has published %s:%s", loaded, image.id, algorithm, published)
	}
	return nil
}
