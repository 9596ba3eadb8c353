package rpc

import (
	"context"

	"hearsay/chat"
)

// NetworkView is as for the messenger.
func (c *Client) NetworkView(ctx context.Context) (chat.NetworkView, error) {
	var n networkShape
	if err := c.call(ctx, "network", params{}, &n); err != nil {
		return chat.NetworkView{}, err
	}
	return n.view(), nil
}

// NewCircuits is as for the messenger.
func (c *Client) NewCircuits(ctx context.Context) error {
	return c.call(ctx, "network.circuits", params{}, nil)
}

// MessagesBefore is as for the messenger.
func (c *Client) MessagesBefore(ctx context.Context, contact string, before uint64, limit int) ([]chat.Message, error) {
	if limit == 0 {
		limit = 100
	}
	limit = min(max(limit, 1), 1000)
	if before == 0 {
		before = 1<<63 - 1 // the end
	}
	all := []chat.Message{}
	for len(all) < limit {
		page, more, err := c.page(ctx, "message.list", params{"contact": contact, "before": before, "limit": limit - len(all)})
		if err != nil {
			return nil, err
		}
		all = append(page, all...)
		if !more || len(page) == 0 {
			break
		}
		before = page[0].Seq
	}
	return all, nil
}

// Retry is as for the messenger.
func (c *Client) Retry(ctx context.Context, message string) error {
	return c.call(ctx, "message.retry", params{"id": message}, nil)
}

// PauseFile is as for the messenger.
func (c *Client) PauseFile(ctx context.Context, id string) error {
	return c.call(ctx, "file.pause", params{"id": id}, nil)
}
