"""What operators see: metrics and the access log. Fed at the end of things, never per delta."""
