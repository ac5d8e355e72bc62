package node

import (
	"context"
	"fmt"

	"stile/wire"
)

// Refresh asks the control plane what the node's server is like now, such as its ports, and keeps the answer in the
// identity of dir. When it fails the identity is as it was.
func (id *Identity) Refresh(ctx context.Context, dir string) error {
	authority, err := id.authority()
	if err != nil {
		return err
	}
	own, _, err := id.parse()
	if err != nil {
		return err
	}
	c := newControl(id.URL, authority, &own)
	defer c.close()
	var m wire.Membership
	if _, err := c.ask(ctx, wire.PathSelf, nil, &m); err != nil {
		return fmt.Errorf("node: %s: %w", wire.PathSelf, err)
	}
	next := *id
	m.Certificate, m.Authority = id.Certificate, id.Authority
	next.Membership = m
	if err := next.Save(dir); err != nil {
		return err
	}
	*id = next
	return nil
}
