"""Two-phase commit of negotiated schedules over links that lose messages."""
