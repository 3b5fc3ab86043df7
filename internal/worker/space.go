package worker

import (
	"context"
	"time"
)

// room sees to it that there is room for another task. The operator is told once
// when there is none, and once when there is again.
func (s *shift) room(ctx, drain context.Context) error {
	if s.worker.Room == nil {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(drain, func() { cancel(context.Cause(drain)) })()
	err := s.worker.Room(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	switch news, after := s.space.Note(err); {
	case news && err != nil:
		s.worker.Log.Error("no task is claimed until there is room on the disk", "reason", err)
	case news:
		s.worker.Log.Info("there is room on the disk again; claiming tasks", "after", after.Round(time.Second))
	}
	return err
}
