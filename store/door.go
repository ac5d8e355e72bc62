package store

import (
	"sync"

	"stile/accesskey"
)

// doors keeps the doors of servers that were read once: deriving one takes longer than reading a row.
type doors struct {
	secret [32]byte
	known  sync.Map // server id → accesskey.Door
}

// of returns the door of a server.
func (d *doors) of(serverID int64) accesskey.Door {
	if door, ok := d.known.Load(serverID); ok {
		return door.(accesskey.Door) //nolint:forcetypeassert // nothing else is kept
	}
	door := accesskey.DoorOf(d.secret, serverID)
	d.known.Store(serverID, door)
	return door
}
