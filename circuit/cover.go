package circuit

import "time"

// WarmUp asks for the rate of a link's beginning once more, so that a new
// contact needs no minutes: eight cells a second each way for 20 s, on shaped
// links, at most once in 10 minutes. It reports whether it comes.
func (c *Client) WarmUp() bool {
	if !c.endpoint.WarmUp() {
		return false
	}
	c.pool.post(func() { c.pool.warm(time.Now()) })
	return true
}
