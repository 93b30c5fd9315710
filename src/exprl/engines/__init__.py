"""Who runs the update: `trl` on one machine. An engine is blind to the method; it spreads credit over tokens and steps."""
