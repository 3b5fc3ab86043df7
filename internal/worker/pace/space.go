package pace

import "time"

// Space is what is known of a lack of room on the disks. The zero value is
// enough room.
type Space struct {
	short error     // what is short; nil if nothing is
	since time.Time // when it was short first
	pace  Pace
}

// Note takes note of what is short, nil for nothing, and tells whether that is
// news, and how long there was too little room.
func (s *Space) Note(short error) (news bool, after time.Duration) {
	news = (short == nil) != (s.short == nil)
	if s.short != nil {
		after = time.Since(s.since)
	}
	if short == nil {
		*s = Space{}
		return news, after
	}
	if news {
		s.since = time.Now()
	}
	s.short = short
	return news, after
}

// Pause returns how long to wait before looking for room again.
func (s *Space) Pause() time.Duration { return s.pace.After(0, s.short, 0) }

// ShortFor is how long there has been too little room while no task ran, since
// idleSince, and what was short last.
func (s *Space) ShortFor(idleSince time.Time) (time.Duration, error) {
	if s.short == nil {
		return 0, nil
	}
	if idleSince.After(s.since) {
		return time.Since(idleSince), s.short
	}
	return time.Since(s.since), s.short
}
