package vpn

import "context"

// Diagnosis is why a user can't connect, in the words of the first rule that says so.
type Diagnosis struct {
	// Code is "" when nothing is in the way; a refusal of IssueKey; or one of the codes below, which IssueKey cannot give.
	Code Code
	// DeviceID and ServerID are those that Code is about; 0 = none or all.
	DeviceID int64
	ServerID int64
}

// What keeps a user from connecting who would get a key.
const (
	// CodeNoDevice: no device is signed in, so nobody asks for keys.
	CodeNoDevice Code = "no_device"
	// CodeKeyPending: the node has not confirmed the key, so it may not work yet.
	CodeKeyPending Code = "key_pending"
	// CodeNoServer: no server that the plan includes takes clients now.
	CodeNoServer Code = "no_server"
)

// Diagnose says why a user can't connect: on one device and one server, or on all of them where they are 0. It asks what
// IssueKey asks, in the same order: device, account, subscription, quota, server, plan, protocol, server state. Nothing is
// changed. CodeNotFound when there is no such user.
func (s *Service) Diagnose(ctx context.Context, a *Actor, userID, deviceID, serverID int64) (Diagnosis, error) {
	if err := a.may(NounUsers, Read); err != nil {
		return Diagnosis{}, err
	}
	user, e, err := s.store.Standing(ctx, userID) // as it is now, and not as a cache has it
	if err != nil {
		return Diagnosis{}, notFound(err)
	}
	devices, err := s.store.Devices(ctx, userID)
	if err != nil {
		return Diagnosis{}, err
	}
	device, d := choose(devices, deviceID)
	if d.Code == CodeDeviceNotFound {
		return d, nil
	}
	if err := refuse(&user, &e, s.now()); err != nil {
		return Diagnosis{Code: CodeOf(err), DeviceID: deviceID}, nil
	}
	if d.Code != "" { // signing in comes first, and the account may be what keeps them from that
		return d, nil
	}
	if serverID == 0 {
		return s.diagnoseAll(ctx, &e, device)
	}
	return s.diagnoseServer(ctx, &e, device, serverID)
}

// choose returns the device that is asked about, or the one that was used last.
func choose(devices []Device, id int64) (*Device, Diagnosis) {
	var found *Device
	for i := range devices {
		d := &devices[i]
		switch {
		case id != 0 && d.ID == id:
			return d, Diagnosis{}
		case id == 0 && (found == nil || d.LastSeenDay.After(found.LastSeenDay)):
			found = d
		}
	}
	switch {
	case id != 0:
		return nil, Diagnosis{Code: CodeDeviceNotFound, DeviceID: id}
	case found == nil:
		return nil, Diagnosis{Code: CodeNoDevice}
	default:
		return found, Diagnosis{}
	}
}

// diagnoseServer asks about one server.
func (s *Service) diagnoseServer(ctx context.Context, e *Entitlement, device *Device, serverID int64) (Diagnosis, error) {
	d := Diagnosis{DeviceID: device.ID, ServerID: serverID}
	server, protocol, view, err := s.chooseServer(ctx, e, device, IssueKey{ServerID: serverID})
	if d.Code = CodeOf(err); err != nil {
		if d.Code != "" {
			err = nil
		}
		return d, err
	}
	key, err := s.store.DeviceKey(ctx, device.ID, serverID)
	hasKey := err == nil
	if err := notFound(err); err != nil && CodeOf(err) == "" {
		return d, err
	}
	if err := stateRefusal(server, view, protocol, hasKey); err != nil {
		d.Code = CodeOf(err)
		return d, nil
	}
	if hasKey && !s.isApplied(ctx, key) {
		d.Code = CodeKeyPending
	}
	return d, nil
}

// isApplied reports whether the node has a key now.
func (s *Service) isApplied(ctx context.Context, key Key) bool {
	ctx, cancel := context.WithTimeout(ctx, s.keyWait)
	defer cancel()
	return s.nodes.WaitApplied(ctx, key.ServerID, key.Rev)
}

// diagnoseAll asks about the servers on which the device has a key, and whether any server would take it. One that works is
// enough.
func (s *Service) diagnoseAll(ctx context.Context, e *Entitlement, device *Device) (Diagnosis, error) {
	servers, err := s.store.DeviceServers(ctx, device.ID)
	if err != nil {
		return Diagnosis{}, err
	}
	var first Diagnosis
	for _, id := range servers {
		d, err := s.diagnoseServer(ctx, e, device, id)
		if err != nil || d.Code == "" {
			return d, err
		}
		if first.Code == "" {
			first = d
		}
	}
	view, err := s.view(ctx, e, Access{Allowed: true})
	if err != nil {
		return Diagnosis{}, err
	}
	if view.RecommendedID == 0 {
		return Diagnosis{Code: CodeNoServer, DeviceID: device.ID}, nil
	}
	return first, nil
}
