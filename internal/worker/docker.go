package worker

// useImage decides what becomes of the image of a payload for docker-worker, and
// is the one place that does. There is no engine that makes a root file system of it,
// so its command runs on the machine and Run.Image stays nil.
func (r *run) useImage() {
	if image := r.Payload.Image; image != nil {
		r.Log.Warn("The image %v is not used: this worker has no containers, and the command of this payload for docker-worker runs on the machine itself", image)
	}
}

// remarks tells the author what of the payload is understood in another way
// than it is written.
func (r *run) remarks() {
	for _, note := range r.Payload.Notes {
		r.Log.Info("%s", note)
	}
	if r.Payload.SupersederURL != "" {
		r.Log.Info("supersederUrl is ignored: the queue has no superseding any more")
	}
}
