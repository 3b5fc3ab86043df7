package artifact

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
)

// PublishError publishes, in place of an artifact, why it has no content. A
// message of more than 4 KiB is cut. Queues that do not know the reason
// Unreadable are told Invalid.
func (p *Publisher) PublishError(ctx context.Context, name string, reason Reason, message string, expires time.Time) error {
	message = clip(message, 4096)
	ask := announcement{StorageType: TypeError, Expires: stamp(expires), Reason: reason, Message: &message}
	err := p.note(ctx, name, ask)
	if reason == Unreadable && errors.Is(err, queue.ErrMalformed) {
		ask.Reason = Invalid
		err = p.note(ctx, name, ask)
	}
	return err
}

// Reference publishes an artifact whose content is at an http or https URL
// without credentials in its authority. The worker never fetches it.
func (p *Publisher) Reference(ctx context.Context, name, address, contentType string, expires time.Time) error {
	if u, err := url.Parse(address); err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("cannot publish %s: it must refer to an http or https URL without a user", name)
	}
	ask := announcement{StorageType: TypeReference, Expires: stamp(expires), ContentType: contentType, URL: address}
	return p.note(ctx, name, ask)
}

// Link publishes an artifact that stands for another one of the same run.
func (p *Publisher) Link(ctx context.Context, name, target, contentType string, expires time.Time) error {
	if name == target {
		return fmt.Errorf("cannot publish %s: it would link to itself", name)
	}
	ask := announcement{StorageType: TypeLink, Expires: stamp(expires), ContentType: contentType, Artifact: target}
	return p.note(ctx, name, ask)
}

// note announces an artifact that has no content of its own.
func (p *Publisher) note(ctx context.Context, name string, ask announcement) error {
	start := time.Now()
	if ask.ContentType != "" && !headerValue(ask.ContentType) {
		return fmt.Errorf("cannot publish %s: %w", name, ErrContentType)
	}
	if _, err := p.announce(ctx, name, ask); err != nil {
		return err
	}
	p.keep(Record{Name: name, StorageType: ask.StorageType, Elapsed: time.Since(start)})
	return nil
}
