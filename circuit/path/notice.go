package path

import "hearsay/directory"

// maxNotices bounds what waits for Notices; the oldest are dropped.
const maxNotices = 16

// Notice is something about the choice of relays that people should know.
type Notice struct {
	Guard    directory.RelayID
	Disabled bool   // the guard is not used any more
	Text     string // in words
}

// Notices returns what was noticed since the last call, oldest first.
func (s *Selector) Notices() []Notice {
	list := s.notices
	s.notices = nil
	return list
}

func (s *Selector) notice(n Notice) {
	if len(s.notices) == maxNotices {
		s.notices = s.notices[1:]
	}
	s.notices = append(s.notices, n)
}
