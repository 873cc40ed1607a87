-- Routes of people by phone have limits of their own, "messaging" (a tier without them has those of "v1" there), and so has
-- whoever asks without a key. A tier that somebody changed stays as it is.
UPDATE tiers
   SET limits = '{"external":[{"limit":1000,"seconds":3600},{"limit":10,"seconds":1}],"v1":[{"limit":100,"seconds":60}],"messaging":[{"limit":10000,"seconds":3600}]}'
 WHERE name = 'standard'
   AND limits = '{"external":[{"limit":1000,"seconds":3600},{"limit":10,"seconds":1}],"v1":[{"limit":100,"seconds":60}]}';
INSERT INTO tiers (name, limits) VALUES ('keyless', '{"v1":[{"limit":1000,"seconds":3600}]}');
