package gossip

import (
	"fmt"
	"time"

	"hearsay/directory"
)

// judgeClock warns if a snapshot that was just verified proves that this
// computer's clock is behind. It is used all the same: signed time goes first.
func (c *Client) judgeClock(h *directory.Header, now time.Time) {
	ahead, behind := h.Ahead(now)
	if !behind {
		c.cfg.Views.Warn(directory.WarnClock)
		return
	}
	c.cfg.Views.Warn(directory.WarnClock, slowClock(ahead, now))
}

// slowClock says by how much this computer's clock is behind at least.
func slowClock(ahead time.Duration, now time.Time) directory.Warning {
	return directory.Warning{
		Text:  fmt.Sprintf("founders signed a snapshot that is dated %v in the future: this computer's clock is behind, set it", ahead.Round(time.Minute)),
		Since: now,
	}
}

// windowOf returns when the snapshot after the view is fetched, by a clock that is
// behind by as much as the view is dated ahead.
func windowOf(v *directory.View, now time.Time) (from, until time.Time) {
	behind := max(0, v.ValidAfter().Sub(now))
	from, until = v.FetchWindow()
	return from.Add(-behind), until.Add(-behind)
}
