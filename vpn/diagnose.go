package vpn

import (
	"context"
	"errors"
	"time"
)

// Diagnose says why a user can't connect: on one device and one server, or on all of them where they are 0. It asks what
// IssueKey asks, in the same order (Circumstances.Diagnose), of things as they are and not as a cache has them. Nothing is
// changed. CodeNotFound when there is no such user.
func (s *Service) Diagnose(ctx context.Context, a *Actor, userID, deviceID, serverID int64) (Diagnosis, error) {
	c, err := s.doctor(ctx, a, userID)
	if err != nil {
		return Diagnosis{}, err
	}
	return c.diagnose(ctx, deviceID, serverID)
}

// Diagnoses says why a user can't connect, and the same for each key of each device, in the order of their ids. A device
// without a key has a line that names no server.
func (s *Service) Diagnoses(ctx context.Context, a *Actor, userID int64) (overall Diagnosis, each []Diagnosis, err error) {
	c, err := s.doctor(ctx, a, userID)
	if err != nil {
		return Diagnosis{}, nil, err
	}
	if overall, err = c.diagnose(ctx, 0, 0); err != nil {
		return Diagnosis{}, nil, err
	}
	for i := range c.devices {
		keys := c.keysOf(c.devices[i].ID)
		for _, k := range keys {
			d, err := c.on(ctx, c.devices[i].ID, k.ServerID)
			if err != nil {
				return Diagnosis{}, nil, err
			}
			each = append(each, d)
		}
		if len(keys) == 0 {
			d, err := c.diagnose(ctx, c.devices[i].ID, 0)
			if err != nil {
				return Diagnosis{}, nil, err
			}
			each = append(each, d)
		}
	}
	return overall, each, nil
}

// doctor gathers the circumstances of one user.
type doctor struct {
	service     *Service
	now         time.Time
	user        User
	entitlement Entitlement
	devices     []Device
	keys        []Key // by device and server, without seeds
	statuses    map[int64]NodeStream
}

func (s *Service) doctor(ctx context.Context, a *Actor, userID int64) (*doctor, error) {
	if err := a.may(NounUsers, Read); err != nil {
		return nil, err
	}
	d := &doctor{service: s, now: s.now()}
	var err error
	if d.user, d.entitlement, err = s.store.Standing(ctx, userID); err != nil {
		return nil, notFound(err)
	}
	if d.devices, err = s.store.Devices(ctx, userID); err != nil {
		return nil, err
	}
	d.keys, err = s.store.UserKeys(ctx, userID)
	return d, err
}

// diagnose asks about one device, or the one that was used last, and one server, or all of them.
func (d *doctor) diagnose(ctx context.Context, deviceID, serverID int64) (Diagnosis, error) {
	if serverID != 0 {
		return d.on(ctx, deviceID, serverID)
	}
	c := d.about(deviceID)
	if found, isOver := c.diagnoseUser(Diagnosis{DeviceID: deviceID, IsFull: len(d.devices) >= d.entitlement.DeviceLimit()}); isOver {
		return found, nil
	}
	return d.anywhere(ctx, c.Device)
}

// about is what does not depend on a server.
func (d *doctor) about(deviceID int64) Circumstances {
	return Circumstances{
		Now: d.now, User: d.user, Entitlement: d.entitlement, Devices: len(d.devices), DeviceID: deviceID, Device: choose(d.devices, deviceID),
	}
}

// choose returns the device that is asked about, or the one that was used last; nil when there is none such.
func choose(devices []Device, id int64) *Device {
	var found *Device
	for i := range devices {
		switch d := &devices[i]; {
		case id != 0 && d.ID == id:
			return d
		case id == 0 && (found == nil || d.LastSeenDay.After(found.LastSeenDay)):
			found = d
		}
	}
	return found
}

func (d *doctor) keysOf(deviceID int64) (keys []Key) {
	for i := range d.keys {
		if d.keys[i].DeviceID == deviceID {
			keys = append(keys, d.keys[i])
		}
	}
	return keys
}

// on asks about one server.
func (d *doctor) on(ctx context.Context, deviceID, serverID int64) (Diagnosis, error) {
	c := d.about(deviceID)
	c.ServerID = serverID
	view, err := d.service.view(ctx, &d.entitlement, Access{Allowed: true})
	if err != nil {
		return Diagnosis{}, err
	}
	c.Server, _ = view.any(serverID)
	if c.Server == nil || c.Device == nil {
		return c.Diagnose(), nil
	}
	for i := range d.keys {
		if k := &d.keys[i]; k.DeviceID == c.Device.ID && k.ServerID == serverID {
			c.Key, c.IsApplied, c.IsRefused = k, d.service.isApplied(ctx, k), d.service.nodes.Refuses(serverID, k.ID)
		}
	}
	if c.Identity, err = d.service.store.NodeIdentity(ctx, serverID); err != nil && !errors.Is(err, ErrNotFound) {
		return Diagnosis{}, err
	}
	c.Status, err = d.status(ctx, serverID)
	return c.Diagnose(), err
}

// isApplied reports whether the node has a key now, without waiting for it.
func (s *Service) isApplied(ctx context.Context, key *Key) bool {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return s.nodes.WaitApplied(ctx, key.ServerID, key.Rev)
}

// status is how a node was when it last said so.
func (d *doctor) status(ctx context.Context, nodeID int64) (NodeStream, error) {
	if d.statuses == nil {
		all, err := d.service.store.NodeStreams(ctx)
		if err != nil {
			return NodeStream{}, err
		}
		d.statuses = make(map[int64]NodeStream, len(all))
		for _, n := range all {
			d.statuses[n.NodeID] = n
		}
	}
	n := d.statuses[nodeID]
	if at := d.service.nodes.Live(nodeID).At; at.After(n.At) { // what is written is some seconds old
		n.At = at
	}
	return n, nil
}

// anywhere asks about the servers on which the device has a key, and whether any server would take it. One that works is
// enough.
func (d *doctor) anywhere(ctx context.Context, device *Device) (Diagnosis, error) {
	var first Diagnosis
	for _, k := range d.keysOf(device.ID) {
		found, err := d.on(ctx, device.ID, k.ServerID)
		if err != nil || found.Code == "" {
			return found, err
		}
		if first.Code == "" {
			first = found
		}
	}
	view, err := d.service.view(ctx, &d.entitlement, Access{Allowed: true})
	if err != nil {
		return Diagnosis{}, err
	}
	none := Diagnosis{DeviceID: device.ID, IsFull: len(d.devices) >= d.entitlement.DeviceLimit()}
	switch {
	case view.RecommendedID == 0:
		none.Code = CodeNoServer
		return none, nil
	case first.Code == "":
		none.Cause = CauseNoKey
		return none, nil
	default:
		return first, nil
	}
}
