-- An acceptance writes its row anew on the page that it lies on, where there is room.
ALTER TABLE messages SET (fillfactor = 80);
