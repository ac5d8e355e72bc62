package wire

// The fields of each frame, in their order on the wire: one pair of methods per frame.

func (*Hello) Type() FrameType { return TypeHello }

func (f *Hello) appendTo(b []byte) []byte {
	b = appendUints(b, f.Proto)
	b = appendInts(b, f.NodeID)
	b = appendUints(b, f.BootID)
	b = appendInts(b, f.Epoch, f.Rev, f.Count)
	b = append(b, f.Digest[:]...)
	b = appendList(b, f.Streams, appendStream)
	b = appendUints(b, f.Caps)
	b = appendText(b, f.Version)
	b = appendList(b, f.Refused, appendID)
	if f.Caps&CapConfig == 0 {
		return b
	}
	return appendServing(b, &f.Serving)
}

func (f *Hello) readFrom(r *reader) {
	f.Proto, f.NodeID, f.BootID = r.uint(), r.int(), r.uint()
	f.Epoch, f.Rev, f.Count = r.int(), r.int(), r.int()
	r.fixed(f.Digest[:])
	f.Streams = readList(r, 2, readStream)
	f.Caps, f.Version = r.uint(), r.text()
	f.Refused = readList(r, 1, readID)
	if f.Caps&CapConfig != 0 {
		readServing(r, &f.Serving)
	}
}

func (*Welcome) Type() FrameType { return TypeWelcome }

func (f *Welcome) appendTo(b []byte) []byte {
	b = appendUints(b, f.Session)
	b = appendInts(b, f.Epoch, f.Rev)
	b = append(b, byte(f.Mode))
	b = appendInts(b, f.ServerTime)
	b = appendList(b, f.Acked, appendStream)
	return appendInts(b, f.HeartbeatSeconds, f.Floor)
}

func (f *Welcome) readFrom(r *reader) {
	f.Session, f.Epoch, f.Rev, f.Mode = r.uint(), r.int(), r.int(), Mode(r.byte())
	f.ServerTime = r.int()
	f.Acked = readList(r, 2, readStream)
	f.HeartbeatSeconds, f.Floor = r.int(), r.int()
}

func (*Delta) Type() FrameType { return TypeDelta }

func (f *Delta) appendTo(b []byte) []byte {
	b = appendInts(b, f.FromRev, f.ToRev)
	b = appendList(b, f.Dels, appendRemoval)
	b = appendList(b, f.Puts, appendKey)
	b = appendBool(b, f.IsComplete)
	b = appendInts(b, f.Count)
	return append(b, f.Digest[:]...)
}

func (f *Delta) readFrom(r *reader) {
	f.FromRev, f.ToRev = r.int(), r.int()
	f.Dels = readList(r, 2, readRemoval)
	f.Puts = readList(r, minKey, readKey)
	f.IsComplete, f.Count = r.bool(), r.int()
	r.fixed(f.Digest[:])
}

func (*SnapshotBegin) Type() FrameType { return TypeSnapshotBegin }

func (f *SnapshotBegin) appendTo(b []byte) []byte {
	return append(appendInts(b, f.Epoch, f.Rev, f.Count), f.Digest[:]...)
}

func (f *SnapshotBegin) readFrom(r *reader) {
	f.Epoch, f.Rev, f.Count = r.int(), r.int(), r.int()
	r.fixed(f.Digest[:])
}

func (*SnapshotChunk) Type() FrameType { return TypeSnapshotChunk }

func (f *SnapshotChunk) appendTo(b []byte) []byte {
	return appendList(appendList(b, f.Dels, appendRemoval), f.Puts, appendKey)
}

func (f *SnapshotChunk) readFrom(r *reader) {
	f.Dels = readList(r, 2, readRemoval)
	f.Puts = readList(r, minKey, readKey)
}

func (*SnapshotEnd) Type() FrameType { return TypeSnapshotEnd }

func (f *SnapshotEnd) appendTo(b []byte) []byte { return appendInts(b, f.Rev, f.Items) }

func (f *SnapshotEnd) readFrom(r *reader) { f.Rev, f.Items = r.int(), r.int() }

func (*Verify) Type() FrameType { return TypeVerify }

func (*Verify) appendTo(b []byte) []byte { return b }

func (*Verify) readFrom(*reader) {}

func (*BucketPrints) Type() FrameType { return TypeBucketPrints }

func (f *BucketPrints) appendTo(b []byte) []byte {
	b = appendUints(b, f.Session)
	for i := range f.Prints {
		b = append(b, f.Prints[i][:]...)
	}
	return b
}

func (f *BucketPrints) readFrom(r *reader) {
	f.Session = r.uint()
	for i := range f.Prints {
		r.fixed(f.Prints[i][:])
	}
}

func (*PatchBegin) Type() FrameType { return TypePatchBegin }

func (f *PatchBegin) appendTo(b []byte) []byte {
	b = append(appendInts(b, f.Epoch, f.Rev), f.Parts[:]...)
	return append(appendInts(b, f.Count), f.Digest[:]...)
}

func (f *PatchBegin) readFrom(r *reader) {
	f.Epoch, f.Rev = r.int(), r.int()
	r.fixed(f.Parts[:])
	f.Count = r.int()
	r.fixed(f.Digest[:])
}

func (*RevokedAsk) Type() FrameType { return TypeRevokedAsk }

func (f *RevokedAsk) appendTo(b []byte) []byte { return appendInts(b, f.After) }

func (f *RevokedAsk) readFrom(r *reader) { f.After = r.int() }

func (*Revoked) Type() FrameType { return TypeRevoked }

func (f *Revoked) appendTo(b []byte) []byte {
	b = appendInts(appendUints(b, f.Session), f.After)
	return appendBool(appendList(b, f.KeyIDs, appendID), f.IsLast)
}

func (f *Revoked) readFrom(r *reader) {
	f.Session, f.After = r.uint(), r.int()
	f.KeyIDs = readList(r, 1, readID)
	f.IsLast = r.bool()
}

func (*Ack) Type() FrameType { return TypeAck }

func (f *Ack) appendTo(b []byte) []byte {
	b = appendInts(appendUints(b, f.Session), f.Epoch, f.Rev)
	return appendList(b, f.Refused, appendID)
}

func (f *Ack) readFrom(r *reader) {
	f.Session, f.Epoch, f.Rev = r.uint(), r.int(), r.int()
	f.Refused = readList(r, 1, readID)
}

func (*Nack) Type() FrameType { return TypeNack }

func (f *Nack) appendTo(b []byte) []byte {
	b = appendInts(appendUints(b, f.Session), f.Epoch, f.Rev, f.RefusedRev)
	b = append(b, byte(f.Why))
	return appendList(b, f.Bad, func(b []byte, k *BadKey) []byte {
		return append(appendInts(b, k.KeyID), k.Sum[:]...)
	})
}

func (f *Nack) readFrom(r *reader) {
	f.Session, f.Epoch, f.Rev, f.RefusedRev = r.uint(), r.int(), r.int(), r.int()
	f.Why = Why(r.byte())
	f.Bad = readList(r, 33, func(r *reader, k *BadKey) {
		k.KeyID = r.int()
		r.fixed(k.Sum[:])
	})
}

func (*ServerBeat) Type() FrameType { return TypeServerBeat }

func (f *ServerBeat) appendTo(b []byte) []byte {
	b = appendBool(appendInts(b, f.ServerTime, f.Epoch, f.Rev), f.IsComplete)
	return appendInts(append(b, f.Digest[:]...), f.Floor)
}

func (f *ServerBeat) readFrom(r *reader) {
	f.ServerTime, f.Epoch, f.Rev, f.IsComplete = r.int(), r.int(), r.int(), r.bool()
	r.fixed(f.Digest[:])
	f.Floor = r.int()
}

func (*NodeBeat) Type() FrameType { return TypeNodeBeat }

func (f *NodeBeat) appendTo(b []byte) []byte {
	b = appendInts(appendUints(b, f.Session), f.Epoch, f.Rev)
	b = appendInts(append(b, f.Digest[:]...), f.Load, f.ActiveKeys, f.Sessions)
	return appendList(b, f.Refused, appendID)
}

func (f *NodeBeat) readFrom(r *reader) {
	f.Session, f.Epoch, f.Rev = r.uint(), r.int(), r.int()
	r.fixed(f.Digest[:])
	f.Load, f.ActiveKeys, f.Sessions = r.int(), r.int(), r.int()
	f.Refused = readList(r, 1, readID)
}

func (*Usage) Type() FrameType { return TypeUsage }

func (f *Usage) appendTo(b []byte) []byte {
	b = appendInts(appendUints(b, f.Stream, f.Seq), f.From, f.To, f.Sessions)
	return appendList(b, f.Entries, func(b []byte, e *UsageEntry) []byte { return appendInts(b, e.KeyID, e.Up, e.Down) })
}

func (f *Usage) readFrom(r *reader) {
	f.Stream, f.Seq = r.uint(), r.uint()
	f.From, f.To, f.Sessions = r.int(), r.int(), r.int()
	f.Entries = readList(r, 3, func(r *reader, e *UsageEntry) { e.KeyID, e.Up, e.Down = r.int(), r.int(), r.int() })
}

func (*UsageAck) Type() FrameType { return TypeUsageAck }

func (f *UsageAck) appendTo(b []byte) []byte { return appendUints(b, f.Stream, f.Seq) }

func (f *UsageAck) readFrom(r *reader) { f.Stream, f.Seq = r.uint(), r.uint() }

// Type is the type that the frame had.
func (f *Unknown) Type() FrameType { return f.Of }

func (*Unknown) appendTo(b []byte) []byte { return b }

func (*Unknown) readFrom(*reader) {}

// minKey is the size of the smallest record of a key: five numbers of one byte and the seed.
const minKey = 5 + len(Seed{})

func appendKey(b []byte, k *Key) []byte {
	b = append(appendInts(b, k.ID), k.Seed[:]...)
	return appendInts(b, k.NotAfter, k.UpBytesPerSecond, k.DownBytesPerSecond, k.MaxSessions)
}

func readKey(r *reader, k *Key) {
	k.ID = r.int()
	r.fixed(k.Seed[:])
	k.NotAfter, k.UpBytesPerSecond, k.DownBytesPerSecond, k.MaxSessions = r.int(), r.int(), r.int(), r.int()
}

func appendRemoval(b []byte, d *Removal) []byte {
	return append(appendInts(b, d.KeyID), byte(d.Reason))
}

func readRemoval(r *reader, d *Removal) { d.KeyID, d.Reason = r.int(), Reason(r.byte()) }

func appendStream(b []byte, s *StreamSeq) []byte { return appendUints(b, s.Stream, s.Seq) }

func readStream(r *reader, s *StreamSeq) { s.Stream, s.Seq = r.uint(), r.uint() }

func appendID(b []byte, id *int64) []byte { return appendInts(b, *id) }

func readID(r *reader, id *int64) { *id = r.int() }
