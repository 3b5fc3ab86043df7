package chainoftrust

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/taskcluster/generic-worker/cot"
	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/task"
)

const logType = "text/plain; charset=utf-8"

// seal publishes the log and what vouches for it, in this order.
func (c *certificate) seal(ctx context.Context) error {
	err := c.publishLog(ctx)
	if err == nil {
		err = c.publishCertificate(ctx)
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// publishLog publishes the whole log once more, under the name by which
// verifiers know it.
func (c *certificate) publishLog(ctx context.Context) error {
	if lost := c.run.Log.Err(); lost != nil {
		return unavailable(cot.LogName, fmt.Errorf("part of the log is missing: %w", lost))
	}
	log, err := c.run.Log.Follow(ctx, 0)
	if err != nil {
		return unavailable(cot.LogName, err)
	}
	defer log.Close()
	_, err = c.run.Publish(ctx, artifact.File{Name: cot.LogName, ContentType: logType, ContentEncoding: artifact.Gzip}, log)
	return err
}

func (c *certificate) publishCertificate(ctx context.Context) error {
	about, err := c.certify()
	if err != nil {
		return fmt.Errorf("cannot make the certificate: %w", err)
	}
	build := cot.Build{RootURL: c.run.Artifacts.RootURL, Version: c.config.Version, Started: c.started, Finished: time.Now()}
	files, err := c.config.Keys.Sign(about, build)
	if err != nil {
		return err
	}
	for _, f := range files {
		encoding := artifact.Identity
		if f.Gzip {
			encoding = artifact.Gzip
		}
		record, err := c.run.Publish(ctx, artifact.File{Name: f.Name, ContentType: f.ContentType, ContentEncoding: encoding}, bytes.NewReader(f.Content))
		if err != nil {
			return err
		}
		if want := sha256.Sum256(f.Content); record.SHA256 != hex.EncodeToString(want[:]) {
			return fmt.Errorf("cannot publish %s: other bytes were uploaded than were signed; look for a bad disk", f.Name)
		}
	}
	return nil
}

// unavailable says that the worker's surroundings are to blame.
func unavailable(name string, err error) error {
	return task.Errorf(task.ResourceUnavailable, "cannot publish %s, without which the task must not complete: %w", name, err)
}

// certify says what there is now, when everything else has been published.
func (c *certificate) certify() (*cot.Certificate, error) {
	claim := c.run.Claim()
	environment, err := c.environment(claim.Task)
	if err != nil {
		return nil, err
	}
	about := &cot.Certificate{
		TaskID: c.run.TaskID, RunID: c.run.RunID, WorkerGroup: c.config.WorkerGroup, WorkerID: c.config.WorkerID,
		Task: claim.Task, Environment: environment, Unverified: c.said,
		Artifacts: map[string]map[string]string{},
	}
	for _, r := range c.run.Artifacts.Records() {
		switch r.StorageType {
		case artifact.TypeS3, artifact.TypeObject:
			about.Artifacts[r.Name] = map[string]string{cot.SHA256: r.SHA256}
		default:
			if about.OtherArtifacts == nil {
				about.OtherArtifacts = map[string]string{}
			}
			about.OtherArtifacts[r.Name] = r.StorageType
		}
	}
	return about, nil
}

// environment is what the worker says about itself, and how the run ended.
func (c *certificate) environment(definition json.RawMessage) (map[string]json.RawMessage, error) {
	sum, err := cot.DefinitionSHA256(definition)
	if err != nil {
		return nil, err
	}
	values := map[string]any{
		"engine":               c.config.Engine,
		"workerVersion":        c.config.Version,
		"outcome":              c.run.Resolution.String(),
		"interactive":          c.run.Payload.Features.Interactive.On,
		"taskDefinitionSha256": sum,
	}
	if c.config.Readable {
		values["keysReadableByTasks"] = true
	}
	if c.config.ThrowAway {
		values["throwAwayKeys"] = true
	}
	var image task.Image // of a command that ran in one
	if c.run.Image != nil {
		image = *c.run.Image
	}
	for name, value := range map[string]string{
		"imageHash": image.Hash, "imageArtifactHash": image.ArtifactHash,
		"publicIpAddress": c.config.Machine.PublicIP, "privateIpAddress": c.config.Machine.PrivateIP,
		"instanceId": c.config.Machine.InstanceID, "instanceType": c.config.Machine.InstanceType, "region": c.config.Machine.Region,
	} {
		if value != "" {
			values[name] = value
		}
	}
	environment := make(map[string]json.RawMessage, len(values))
	for name, value := range values {
		if environment[name], err = json.Marshal(value); err != nil {
			return nil, fmt.Errorf("cannot encode %s: %w", name, err)
		}
	}
	return environment, nil
}
