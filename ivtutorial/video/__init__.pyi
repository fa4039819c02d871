from ivtutorial.video.reader import (
    VideoFacts as VideoFacts,
    read_video as read_video,
    read_video_with_notes as read_video_with_notes,
    video_facts as video_facts,
)
from ivtutorial.video.sheet import contact_sheet as contact_sheet, save_picture as save_picture
from ivtutorial.video.writer import encode_video as encode_video, to_uint8 as to_uint8, write_video as write_video
